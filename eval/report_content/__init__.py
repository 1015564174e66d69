"""What reports and studies are made of: compared runs and their intervals, blocks, tables, charts."""
