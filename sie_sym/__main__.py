"""`python -m sie_sym` is `sie-sym`."""

from sie_sym.cli import main

if __name__ == "__main__":
    main(prog_name="sie-sym")
