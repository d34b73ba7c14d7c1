"""Tables on S3 as files: their types and formats, how they are read and written, and the engine that queries them.

It stands between the kernel and the rooms. Rooms that read or write tables import it where they need it, inside
functions, for what is here may load heavy libraries.
"""
