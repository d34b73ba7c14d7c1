"""Where records are delivered to: `contract` says what a destination promises, `kinds` which there are."""
