"""The way to model servers, shared by all rooms that send requests to models.

`routes` is the table that says which servers stand behind an endpoint now: the room that runs them writes it, whoever
asks models reads it. `connections` are the connections to one server; `requests` is what is sent on them. `models` is
the data that a model's container needs around it; `loading` has models loaded, in servers that are given theirs on
demand. `holds` say which instances must not be stopped yet. `demand` and `gates` are for instances that come with
requests and go without them: who is let in, who waits, and how many there should be.
"""
