"""What crawlers are told, and what they do: look into stores of data, and write down in the catalog what is there."""
