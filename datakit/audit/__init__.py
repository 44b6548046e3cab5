"""What is in a run or an export."""
