"""The instruction library: bullets, the reviews they come from, and selections of them."""
