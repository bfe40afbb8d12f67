"""Publishing: boards as folders, submissions and their verification, citations. Boards need no torch and no plugin."""
