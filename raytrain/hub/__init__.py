"""The Hugging Face hub: common encoders of kinds that are read, how it is asked, what files are wanted."""
