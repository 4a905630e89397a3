"""A file of a user, for tests of what runs the user's own code."""

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 4)

    def forward(self, x):
        v, out = torch.zeros(x.shape[0], 4), []
        for t in range(x.shape[1]):
            v = 0.5 * v + self.fc(x[:, t])
            s = (v >= 0.1).float()
            v = v - s
            out.append(s)
        return torch.stack(out, 1)

def make():
    return {"module": Net(), "example": torch.rand(2, 6, 3), "time_axis": 1}
"""
