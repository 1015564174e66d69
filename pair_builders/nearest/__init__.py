"""What is near: questions alike, images alike, and the nearest partners among them."""
