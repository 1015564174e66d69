"""Region features of images: stores, conversion from public formats, extraction from pixels."""
