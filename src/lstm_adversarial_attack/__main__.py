"""``python -m lstm_adversarial_attack`` is ``lstm-aa``."""

from lstm_adversarial_attack.cli import main

if __name__ == "__main__":
    main()
