"""The composition root: a home, and the processes that share it.

supervisor          `clary up`: binds the port, starts the others, starts them again when they die
├── gateway (n)     stateless; answers requests
├── carrier (1)     runs the reconcilers that move users' data in bulk: deliveries, event sources
└── controller (1)  runs all other reconcilers
    └── job hosts   looked after by shims that outlive all of the above
"""
