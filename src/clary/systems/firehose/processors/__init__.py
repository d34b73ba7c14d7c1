"""What happens to records between their buffer and their destination; `chain` has it done in order."""
