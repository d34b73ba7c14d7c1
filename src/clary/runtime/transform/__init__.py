"""Score every record of a data set: split objects into payloads, ask the model, put the answers together in order."""
