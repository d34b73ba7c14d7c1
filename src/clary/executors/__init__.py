"""Where jobs run: each module is one executor behind `kernel.jobs.contract.Executor`; they do not know each other."""
