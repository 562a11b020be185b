"""The grading harness of the course "Learning from Images". The command is `lfi`; see docs/."""
