export PYTHONPATH=/tmp/hw
