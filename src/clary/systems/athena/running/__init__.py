"""How a query runs, from the queue to its end. It is the carrier that runs them.

runner          the queue: threads that take queries from QUEUED to their end
└── drive       one query: its records, its statement, its results
    ├── run         what a performer may use: the contract's `Running`
    ├── querying    the performer of SELECT
    ├── results     the objects that results are
    ├── reuse       earlier results that do
    └── told        what is told of it in metrics
"""
