from cardiolect.data_provider.simulator.corpus import main
from cardiolect.utils.errors import exit_on_user_error

if __name__ == "__main__":
    exit_on_user_error(main)
