"""How what is buffered is delivered. It runs in the carrier.

worker          a thread for each delivery stream: reads its source, waits for what is next
├── outbound    one configuration at work: records through processors into lanes, lanes to where they go
│   ├── lanes       what waits to be delivered together
│   ├── objects     objects of S3 being made
│   └── dispatch    lanes that are ready, to S3, to the destination, to the error output
│       ├── failures    what the error output says
│       └── measures    what is told of it
├── ledger      what was delivered, durably
├── reader      a stream of Kinesis as a source
└── reports     metrics and error logs
"""
