"""A checkpoint behind a stock server that speaks OpenAI's protocol, and the client that asks it about ECGs."""
