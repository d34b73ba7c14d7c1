"""What drives functions: their instances, the events that wait for them, and the sources that they are fed from."""
