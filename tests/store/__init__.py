"""What lasts: the store on a real directory, and on a disk that loses, fails and fills up."""
