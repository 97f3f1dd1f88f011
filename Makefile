# Every path here is relative: GNU make cannot hold an absolute one with a space in it.
# What a target needs is made ready by .ci/prepare, which changes nothing where it is ready already.

PYTHON ?= python3
export PYTHON

python := .venv/bin/python
c := bench/tickwire_bench/c
load_c := $(wildcard $(c)/load.c $(c)/load/*.c $(c)/load/dialects/*.c)
load_h := $(wildcard $(c)/load/*.h)

.PHONY: help demo test check siege autobahn fuzz chaos simulate bench bench-peers bench-durable bench-micro compare cost clean
.PHONY: runtime dev brokers peers compiler strace redis valgrind browser proxies
.DELETE_ON_ERROR:

help:
	@echo 'make demo     a broker, real prices replayed into it, readers that check them'
	@echo 'make test     the tests'
	@echo 'make check    ruff, mypy, and the instructions of the hot paths'
	@echo 'make siege    all that is done to a broker, and 250 hostile connections for a minute'
	@echo 'make autobahn the cases of the Autobahn suite, as long as they are: five minutes'
	@echo 'make fuzz     decoder, frames, session and door by atheris: FUZZ_SECONDS=60 each'
	@echo 'make chaos    kill a broker hundreds of times under load, and check that nothing acknowledged is lost'
	@echo 'make simulate thousands of histories on a disk that loses what was not synced'
	@echo 'make bench    the broker in every shape of load, beside a plain aiohttp broadcaster: tickwire bench'
	@echo 'make bench-peers    the same load on NATS, Redis, mosquitto, uWebSockets, Socket.IO and others'
	@echo 'make bench-durable  the disk beside NATS JetStream and Redis Streams'
	@echo 'make bench-micro    the hot paths by themselves, timed'
	@echo 'make compare  their instructions beside those of another commit: make compare BASE=HEAD~1'
	@echo 'make cost     what authentication, rights and rates add, in instructions'
	@echo 'make clean    remove all that these targets made'
	@echo
	@echo 'make demo ARGS="--for 10 --readers 1000"   hands options on'
	@echo 'make test PYTHON=python3.12                takes another Python than python3'

demo: runtime
	@.venv/bin/tickwire demo $(ARGS)

test: dev strace peers redis browser proxies bench/build/marks.so
	@$(python) -m pytest $(ARGS)

siege: dev
	@TICKWIRE_SIEGE=whole $(python) -m pytest tests/siege $(ARGS)

FUZZ_SECONDS ?= 60

fuzz: dev
	@sh .ci/prepare fuzz
	@for target in decoder frames session door; do \
	  echo "fuzzing $$target for $(FUZZ_SECONDS) s"; \
	  PYTHONPATH=tests $(python) -m fuzz $$target -max_total_time=$(FUZZ_SECONDS) -timeout=5 -verbosity=0 || exit 1; done

autobahn: dev
	@TICKWIRE_AUTOBAHN=whole $(python) -m pytest tests/server/test_autobahn.py $(ARGS)

check: dev bench/build/marks.so
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@$(python) -m mypy
	@PYTHONPATH=bench $(python) -m micro.compare
	@PYTHONPATH=bench $(python) -m micro.cost

chaos: dev strace
	@cd tests && ../$(python) -m proof.chaos $(ARGS)

simulate: dev
	@cd tests && ../$(python) -m simulation $(ARGS)

bench-durable: brokers redis bench/build/load bench/build/floor-durable
	@PYTHONPATH=bench $(python) -m durable $(ARGS)

bench-peers: brokers peers redis bench/build/load bench/build/floor-fanout
	@PYTHONPATH=bench $(python) -m peers $(ARGS)

bench: dev bench/build/load bench/build/floor-fanout
	@.venv/bin/tickwire bench $(ARGS)

bench/build/load: $(load_c) $(load_h) Makefile | compiler
	@mkdir -p bench/build
	gcc -O2 -std=c11 -Wall -Wextra -Werror -DTLS -o $@ $(load_c) -lz -lssl -lcrypto

bench-micro: dev
	@$(python) -m pytest bench/micro -o addopts= -q --benchmark-only --benchmark-group-by=group --benchmark-columns=min,median,max,rounds $(ARGS)

compare: dev bench/build/marks.so
	@PYTHONPATH=bench $(python) -m micro.compare $(BASE) $(ARGS)

cost: dev bench/build/marks.so
	@PYTHONPATH=bench $(python) -m micro.cost $(ARGS)

bench/build/floor-%: $(c)/floor/%.c $(c)/floor/websocket.c $(c)/floor/websocket.h Makefile | compiler
	@mkdir -p bench/build
	gcc -O2 -std=c11 -Wall -Wextra -Werror -o $@ $(filter %.c,$^)

bench/build/marks.so: bench/micro/marks.c Makefile | compiler valgrind
	@mkdir -p bench/build
	gcc -O2 -std=c11 -Wall -Wextra -Werror -shared -fPIC -o $@ bench/micro/marks.c

runtime dev brokers peers compiler strace redis valgrind browser proxies:
	@sh .ci/prepare $@

clean:
	rm -rf .venv bench/build build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	rm -rf bench/peers/servers/node/node_modules broker/tickwire/native/native.so
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
