"""Knowledge tracing: will a student answer the next question right?"""
