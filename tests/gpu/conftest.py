import torch

if not torch.cuda.is_available():
    collect_ignore_glob = ["*"]
