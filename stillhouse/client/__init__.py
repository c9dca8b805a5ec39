"""A model behind a URL, with the calls of `LLM`.

async with Client("http://localhost:8000") as client:
    reply = await client.achat("How many legs has a spider?")
"""

from stillhouse.client.client import Client
from stillhouse.client.describing import ServerFacts
from stillhouse.client.replies import Counted, ServedReply
from stillhouse.client.streams import ServedStream

__all__ = ["Client", "Counted", "ServedReply", "ServedStream", "ServerFacts"]
