"""Features from pixels; the only package that imports timm and torchvision, when a backbone is loaded."""
