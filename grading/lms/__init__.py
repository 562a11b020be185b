"""Between the course and the learning platform: collecting, late penalties, export of grades and feedback."""
