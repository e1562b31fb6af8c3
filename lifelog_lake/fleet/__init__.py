"""The person's machines as a fleet: so far, the service that records from each login on."""
