"""What the tree wrote before it was put into rooms: results, digests, keys, prompts, and tests that compare."""
