"""What runs inside an instance of a Lambda function: a server that stays, and a worker that has the user's code.

server.py       answers HTTP on the instance's Unix socket, one invocation at a time; times, measures and reports them
worker.py       the process that imports the user's module and calls its handler; forked, and forked anew when it died
loading.py      from a handler's name to the function, with AWS's errors
context.py      what a handler is given beside the event
documents.py    the documents that answer an invocation which failed
journal.py      the lines around what a function prints, and the end of them that a caller may ask for
frames.py       what server and worker say to each other
places.py       /var/task and /opt, wherever the code lies
"""
