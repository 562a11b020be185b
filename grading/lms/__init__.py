"""Between the course and the learning platform: collecting, late penalties, export. Students' part is grading/submit."""
