// One signal, drawn as a monitor draws it: a pen that sweeps at 25 mm/s over what it wrote a screen ago.
//
// Where a point stands follows from its time on the device alone. Missing samples leave the paper
// empty and hatched; samples that come late are put where they belong, if that is still on the screen.

const PX_PER_MM = 96 / 25.4;
const MM_PER_S = 25;
const PX_PER_MS = (PX_PER_MM * MM_PER_S) / 1000;
/** Empty paper before the pen. */
const BAR_PX = 22;
/** Repainted behind the pen, so that lines join. */
const BEHIND_PX = 10;
/** The value that says that the electrode or the clip is off. */
const OFF = -32768;
/** Millivolts of one unit of an ECG sample. */
const MV_PER_UNIT = 0.005;
/** Gains a cardiologist knows, millimetres per millivolt. */
const GAINS = [20, 10, 5, 2.5];
/** Time constant of the line's vertical position, milliseconds: a monitor's lower corner, 0.1 Hz. On screen only. */
const CENTRE_MS = 1600;
/** What is kept, milliseconds: the widest screen. */
const KEEP_MS = 45_000;
const AMBER = "255, 176, 46";

export class Sweep {
  constructor(canvas, kind, colour, scale) {
    this.canvas = canvas;
    this.paper = canvas.getContext("2d");
    this.kind = kind;
    this.colour = colour;
    this.scale = scale;
    this.reset();
    new ResizeObserver(() => this.resize()).observe(canvas);
    this.resize();
  }

  reset() {
    this.strips = [];
    this.pen = null;
    this.centre = null;
    this.gain = 10;
    this.range = null;
    this.checked = 0;
    this.isDirty = true;
    this.isOff = false;
  }

  resize() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.ratio = Math.min(window.devicePixelRatio || 1, 2);
    this.width = width;
    this.height = height;
    this.canvas.width = Math.max(1, Math.round(width * this.ratio));
    this.canvas.height = Math.max(1, Math.round(height * this.ratio));
    this.isDirty = true;
  }

  /** Takes a strip; returns the time of its end, milliseconds. */
  add(strip) {
    const step = 1000 / strip.rate_hz;
    const last = this.strips[this.strips.length - 1];
    let start = strip.t_us / 1000;
    let joins = false;
    if (last && strip.first === last.first + last.values.length) {
      // Counted without a gap: what differs is the bus, not the patient.
      const drift = start - last.end;
      joins = Math.abs(drift) < 250;
      if (joins) start = last.end + drift * 0.05;
    }
    const values = this.centred(strip.samples, step, joins);
    const end = start + strip.samples.length * step;
    this.strips.push({ first: strip.first, start, end, step, values, joins });
    if (this.pen !== null && start < this.pen) this.isDirty = true;
    while (this.strips.length && this.strips[0].end < end - KEEP_MS) this.strips.shift();
    return end;
  }

  /** Samples around their slowly moving middle (ECG) or as they are (pleth); NaN where the sensor is off. */
  centred(samples, step, joins) {
    const values = new Float32Array(samples.length);
    if (!joins) this.centre = null;
    const share = step / CENTRE_MS;
    for (let n = 0; n < samples.length; n += 1) {
      const sample = samples[n];
      const isOff = this.kind === "ecg" ? sample === OFF : sample < 0;
      if (isOff) {
        values[n] = NaN;
        this.centre = null;
      } else if (this.kind === "pleth") {
        values[n] = sample;
      } else {
        if (this.centre === null) this.centre = median(samples);
        this.centre += (sample - this.centre) * share;
        values[n] = sample - this.centre;
      }
    }
    return values;
  }

  /** The screen's width in time. */
  get span() {
    return this.width / PX_PER_MS;
  }

  /** Moves the pen to `pen`, the device's time in milliseconds. */
  draw(pen) {
    if (this.width < 2 || pen === null) return;
    if (pen - this.checked > 1000 || this.isDirty) this.adjust(pen);
    const visible = this.span - BAR_PX / PX_PER_MS;
    let from = this.pen === null || this.isDirty ? pen - visible : this.pen - BEHIND_PX / PX_PER_MS;
    from = Math.max(from, pen - visible, 0);
    if (this.isDirty) this.paper.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.isDirty = false;
    this.pen = pen;
    // One piece for each sweep the interval touches.
    for (let sweep = Math.floor(from / this.span); sweep * this.span < pen; sweep += 1) {
      const left = sweep * this.span;
      this.piece(left, Math.max(from, left), Math.min(pen, left + this.span));
    }
    const x = (pen % this.span) * PX_PER_MS;
    this.erase(x, BAR_PX);
    if (x + BAR_PX > this.width) this.erase(0, x + BAR_PX - this.width);
    this.dot(x, pen);
  }

  erase(x, width) {
    const r = this.ratio;
    this.paper.setTransform(1, 0, 0, 1, 0, 0);
    this.paper.clearRect(Math.ceil(x * r), 0, Math.ceil(width * r), this.canvas.height);
  }

  /** Paints what lies between the times `from` and `to` of the sweep that begins at `left`. */
  piece(left, from, to) {
    const { paper, ratio } = this;
    const x0 = Math.floor((from - left) * PX_PER_MS * ratio);
    const x1 = Math.ceil((to - left) * PX_PER_MS * ratio);
    paper.setTransform(1, 0, 0, 1, 0, 0);
    paper.clearRect(x0, 0, x1 - x0, this.canvas.height);
    paper.save();
    paper.beginPath();
    paper.rect(x0, 0, x1 - x0, this.canvas.height);
    paper.clip();
    paper.scale(ratio, ratio);
    this.holes(left, from, to);
    this.line(left, from, to);
    paper.restore();
  }

  /** Index of the first strip that ends after `time`. */
  index(time) {
    let n = this.strips.length;
    while (n > 0 && this.strips[n - 1].end > time) n -= 1;
    return Math.max(0, n - 1);
  }

  line(left, from, to) {
    const { paper } = this;
    const margin = 3 / PX_PER_MS;
    paper.beginPath();
    let isDown = false;
    for (let s = this.index(from - margin); s < this.strips.length; s += 1) {
      const strip = this.strips[s];
      if (strip.start > to + margin) break;
      if (!strip.joins) isDown = false;
      const begin = Math.max(0, Math.floor((from - margin - strip.start) / strip.step));
      const end = Math.min(strip.values.length, Math.ceil((to + margin - strip.start) / strip.step) + 1);
      for (let n = begin; n < end; n += 1) {
        const value = strip.values[n];
        if (Number.isNaN(value)) {
          isDown = false;
          continue;
        }
        const x = (strip.start + n * strip.step - left) * PX_PER_MS;
        if (isDown) paper.lineTo(x, this.y(value));
        else paper.moveTo(x, this.y(value));
        isDown = true;
      }
    }
    paper.strokeStyle = this.colour;
    paper.lineJoin = "round";
    paper.lineCap = "round";
    paper.globalAlpha = 0.13;
    paper.lineWidth = 5.5;
    paper.stroke();
    paper.globalAlpha = 1;
    paper.lineWidth = 1.7;
    paper.stroke();
  }

  /** Hatches what is missing, and says why. */
  holes(left, from, to) {
    let last = null;
    for (let s = this.index(from); s < this.strips.length; s += 1) {
      const strip = this.strips[s];
      if (last !== null && !strip.joins && strip.start - last > 1.5 * strip.step) {
        this.hatch(left, last, strip.start, `${((strip.start - last) / 1000).toFixed(1)} s`);
      }
      if (strip.start > to) return;
      this.off(left, strip);
      last = strip.end;
    }
    if (last !== null && last < to - 40) this.hatch(left, last, to + 1000, "no data");
  }

  hatch(left, start, end, text) {
    const { paper } = this;
    const a = Math.max((start - left) * PX_PER_MS, 0);
    const b = Math.min((end - left) * PX_PER_MS, this.width);
    if (b <= a) return;
    paper.save();
    paper.beginPath();
    paper.rect(a, 0, b - a, this.height);
    paper.clip();
    paper.fillStyle = `rgba(${AMBER}, .07)`;
    paper.fillRect(a, 0, b - a, this.height);
    paper.strokeStyle = `rgba(${AMBER}, .28)`;
    paper.lineWidth = 1;
    paper.beginPath();
    // Anchored to the paper, so that pieces painted one after the other fit.
    for (let x = Math.floor((a - this.height) / 9) * 9; x < b; x += 9) {
      paper.moveTo(x, this.height);
      paper.lineTo(x + this.height, 0);
    }
    paper.stroke();
    paper.fillStyle = `rgb(${AMBER})`;
    paper.font = "600 11px system-ui, sans-serif";
    const isWide = b - a > 24 + paper.measureText(text).width + 24;
    paper.fillText(isWide && text !== "no data" ? `gap ${text}` : text, a + 5, this.height - 8);
    paper.restore();
  }

  /** A dashed line where the sensor is off. */
  off(left, strip) {
    const { paper } = this;
    for (let n = 0; n < strip.values.length; n += 1) {
      if (!Number.isNaN(strip.values[n])) continue;
      let end = n;
      while (end < strip.values.length && Number.isNaN(strip.values[end])) end += 1;
      const a = (strip.start + n * strip.step - left) * PX_PER_MS;
      const b = (strip.start + end * strip.step - left) * PX_PER_MS;
      paper.fillStyle = "rgba(87, 227, 255, .75)";
      for (let x = Math.floor(a / 12) * 12; x < b; x += 12) {
        const dash = Math.max(x, a);
        paper.fillRect(dash, this.height / 2 - 1, Math.max(0, Math.min(x + 6, b) - dash), 2);
      }
      n = end;
    }
  }

  dot(x, pen) {
    const strip = this.strips[this.index(pen - 0.001)];
    if (!strip || pen > strip.end + 40) return;
    const value = strip.values[Math.min(strip.values.length - 1, Math.max(0, Math.floor((pen - strip.start) / strip.step)))];
    if (value === undefined || Number.isNaN(value)) return;
    const { paper, ratio } = this;
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    paper.fillStyle = "#fff";
    paper.beginPath();
    paper.arc(x, this.y(value), 2.2, 0, 2 * Math.PI);
    paper.fill();
  }

  y(value) {
    if (this.kind === "ecg") {
      return this.height * 0.56 - value * MV_PER_UNIT * this.gain * PX_PER_MM;
    }
    const { low, high } = this.range ?? { low: 0, high: 10_000 };
    return this.height * (0.9 - (0.68 * (value - low)) / (high - low));
  }

  /** Chooses the gain, or the range, for the last seconds before `pen`. */
  adjust(pen) {
    this.checked = pen;
    let low = Infinity;
    let high = -Infinity;
    this.isOff = false;
    for (let s = this.index(pen - 6000); s < this.strips.length; s += 1) {
      const { start, values } = this.strips[s];
      if (start > pen) break;
      for (const value of values) {
        if (value < low) low = value;
        if (value > high) high = value;
      }
    }
    const under = this.strips[this.index(pen)];
    if (under) this.isOff = under.values.length > 0 && under.values.every(Number.isNaN);
    if (low > high) return;
    if (this.kind === "ecg") this.chooseGain(low, high);
    else this.chooseRange(low, high);
  }

  chooseGain(low, high) {
    const perGain = MV_PER_UNIT * PX_PER_MM;
    const fits = (gain, room) => high * perGain * gain < this.height * 0.52 * room && -low * perGain * gain < this.height * 0.42 * room;
    let gain = this.gain;
    if (!fits(gain, 1)) gain = GAINS.find((candidate) => candidate <= gain && fits(candidate, 1)) ?? GAINS[GAINS.length - 1];
    else if (gain < 10 && fits(gain * 2, 0.8)) gain *= 2;
    else if (gain === 10 && fits(20, 0.6)) gain = 20;
    if (gain !== this.gain) {
      this.gain = gain;
      this.isDirty = true;
    }
    this.scale.textContent = `${gain} mm/mV`;
  }

  chooseRange(low, high) {
    const span = Math.max(high - low, 200);
    const range = this.range;
    const isFar = !range || Math.abs(range.low - low) > 0.15 * span || Math.abs(range.high - high) > 0.15 * span;
    if (isFar) {
      this.range = { low, high: low + span };
      this.isDirty = true;
    }
  }
}

function median(samples) {
  const sorted = samples.filter((sample) => sample !== OFF).sort((a, b) => a - b);
  return sorted.length ? sorted[sorted.length >> 1] : 0;
}
