// One sample of the network: feed a frame for every step, then ask for the results.
extern "C" {
#include <snn.h>
}

void setup() {
  Serial.begin(115200);
}

void loop() {
  // snn_begin starts a sample, snn_step takes a frame and snn_step_events a list of events,
  // snn_finish and snn_classify give results: their parameters are in snn.h.
  snn_reset();
  Serial.println("see snn.h");
  delay(1000);
}
