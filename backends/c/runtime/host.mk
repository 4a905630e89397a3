# make builds ./run: the same network as a program of this computer, for comparison.
CFLAGS ?= -std=c99 -O2
SOURCES := ../src/snn.c ../src/weights.c info.c trace.c npy.c host.c

run: $(SOURCES) $(wildcard *.h ../src/*.h)
	$(CC) $(CFLAGS) -DSNN_TRACE -I../src $(SOURCES) -o $@ $(LDFLAGS)

clean:
	rm -f run

.PHONY: clean
