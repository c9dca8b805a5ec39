"""Quantisation x users: the load that is offered, what came of it, and what one can say of that."""
