# make        builds firmware.elf
# make run    runs it in QEMU; it compares every output with those that snnc gave
# make size   sizes of its sections: .snn.* is the network
# TRACE=1 also compares every state and spike of every step (make clean in between).
CC = @COMPILER@
CFLAGS = @FLAGS@ -std=c99 -O2 -ffreestanding -Wall -Wextra
SNN = snn/src
OBJECTS = main.o samples.o board.o snn.o weights.o snn_memory.o
ifdef TRACE
CFLAGS += -DSNN_TRACE -Isnn/host
OBJECTS += info.o
endif
ifdef REPEAT
CFLAGS += -DREPEAT=$(REPEAT)u
endif

firmware.elf: $(OBJECTS) board.ld
	$(CC) $(CFLAGS) -nostdlib -nostartfiles -Wl,-T,board.ld $(OBJECTS) -lgcc -o $@

main.o: main.c samples.h board.h
samples.o: samples.c samples.h

%.o: %.c
	$(CC) $(CFLAGS) -I$(SNN) -c $< -o $@

%.o: $(SNN)/%.c $(wildcard $(SNN)/*.h)
	$(CC) $(CFLAGS) -I$(SNN) -c $< -o $@

info.o: snn/host/info.c
	$(CC) $(CFLAGS) -I$(SNN) -c $< -o $@

run: firmware.elf
	@EMULATOR@ firmware.elf

size: firmware.elf
	size -A firmware.elf

clean:
	rm -f *.o firmware.elf

.PHONY: run size clean
