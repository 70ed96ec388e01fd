"""What tests share: accounts that must balance, clients in threads, programs in processes, readers of the project."""
