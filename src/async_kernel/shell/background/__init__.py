"""What outlives a cell: the session's nursery and its tasks, asyncio tasks of the user, and the names for them."""
