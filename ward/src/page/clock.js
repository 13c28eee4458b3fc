// Which moment of the device's time is under the pen now.
//
// Readings come in small lots, late by what the bus, the device and the network took. The pen runs a
// fixed time behind the fastest of them, so that it moves evenly. Where nothing comes any more it
// waits a little for what is late, and then runs on over empty paper: silence must be seen.

/** How far behind the newest readings the pen runs, milliseconds: the jitter it hides. */
const DELAY_MS = 900;
/** How long the pen waits for late readings before it runs on. */
const PATIENCE_MS = 2500;
/** How long an arrival counts. */
const WINDOW_MS = 10_000;
/** Fastest correction of the pen, milliseconds a second: not to be seen. */
const SLEW = 40;
/** A correction over this is made at once. */
const JUMP_MS = 1500;

export class Clock {
  constructor() {
    this.reset();
  }

  /** Another device, or another start of it. */
  reset() {
    this.arrivals = [];
    this.offset = null;
    this.newest = 0;
    this.lastArrival = 0;
    this.head = null;
    this.lastNow = null;
  }

  /** Readings up to `end` of the device's time (milliseconds) have come at `now`. */
  arrived(end, now) {
    this.newest = Math.max(this.newest, end);
    this.lastArrival = now;
    this.arrivals.push({ at: now, late: now - end });
    while (this.arrivals.length > 2000 || now - this.arrivals[0].at > WINDOW_MS) this.arrivals.shift();
  }

  /** The device's time under the pen; null before anything has come. */
  penAt(now) {
    if (this.arrivals.length === 0) return null;
    const step = this.lastNow === null ? 0 : Math.min(now - this.lastNow, 1000);
    this.lastNow = now;
    let wanted = Infinity;
    for (const arrival of this.arrivals) wanted = Math.min(wanted, arrival.late);
    wanted += DELAY_MS;
    const error = this.offset === null ? Infinity : wanted - this.offset;
    if (Math.abs(error) > JUMP_MS) this.offset = wanted;
    else this.offset += Math.sign(error) * Math.min(Math.abs(error), (SLEW * step) / 1000);
    let pen = now - this.offset;
    if (pen > this.newest && now - this.lastArrival < PATIENCE_MS) {
      pen = this.newest;
      if (this.head !== null) pen = Math.max(pen, this.head);
    }
    this.head = pen;
    return pen;
  }
}
