"""What dynamo_chat costs, measured: client CPU, requests and capacity units, import time."""
