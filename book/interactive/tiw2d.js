// The paper's 2-D example as one interactive figure: two methods side by side, everything in closed form.
// The first half is mathematics: pure functions, tested against tiwlib/gaussians.py. The second half draws.
// Shapes: a point x is [x1, x2]; many points are one flat array [x1, x2, x1, x2, ...] of length 2 n.
// sigma >= 0 is a noise level. settings = { minority, pi }: the minority's share in p_bias, and the share pi of
// reference samples in a batch. All densities have the same two modes, so one share tells each of them apart.

export const MODES = [[-2, -2], [2, 2]]; // majority and minority
export const STD = 1; // of each mode
export const SIGMA_DATA = Math.sqrt(5); // of a coordinate of p_data: sqrt(1 + 2^2)
export const DATA_SHARE = 0.5; // of the minority in p_data

// p_batch = (1 - pi) p_bias + pi p_data: the minority's share in a batch.
export const batchShare = ({ minority, pi }) => (1 - pi) * minority + pi * DATA_SHARE;

// log(share N(x; mean, (std^2 + sigma^2) I)) of one mode, whose variance is std^2 + sigma^2; then of both modes.
const logMode = (share, mean, x, variance) => Math.log(share) - Math.log(2 * Math.PI * variance)
  - ((x[0] - mean[0]) ** 2 + (x[1] - mean[1]) ** 2) / (2 * variance);
const logJoint = (share, x, v) => [logMode(1 - share, MODES[0], x, v), logMode(share, MODES[1], x, v)];

// log p^sigma(x) of the density whose minority has this share: the logarithm of the sum over modes.
export function logProb(share, x, sigma) {
  const [a, b] = logJoint(share, x, STD ** 2 + sigma ** 2);
  return Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)));
}

// grad log p^sigma(x) = sum_k P(k | x) (mean_k - x) / (std^2 + sigma^2).
export function score(share, x, sigma) {
  const variance = STD ** 2 + sigma ** 2;
  const [a, b] = logJoint(share, x, variance);
  const minority = 1 / (1 + Math.exp(a - b)); // P(minority | x)
  const pull = (i) => ((1 - minority) * MODES[0][i] + minority * MODES[1][i] - x[i]) / variance;
  return [pull(0), pull(1)];
}

// log r(x, sigma) = log p_data^sigma - log p_bias^sigma.
export const logRatio = ({ minority }, x, sigma) => logProb(DATA_SHARE, x, sigma) - logProb(minority, x, sigma);

// grad log r, the difference of the two scores.
export function gradLogRatio({ minority }, x, sigma) {
  const bias = score(minority, x, sigma);
  return score(DATA_SHARE, x, sigma).map((data, i) => data - bias[i]);
}

// w = r / (pi r + 1 - pi): p_data over the density of the batch.
export function weight(settings, x, sigma) {
  const r = Math.exp(logRatio(settings, x, sigma));
  return r / (settings.pi * r + 1 - settings.pi);
}

// d = r / (1 + r): the discriminator of balanced batches.
export const discriminator = (settings, x, sigma) => 1 / (1 + Math.exp(-logRatio(settings, x, sigma)));

// The tilt of a method is the function whose gradient its target adds to the score of the batch: slope grad log r.
const NONE = { tilt: () => 0, slope: () => 0 };
const LOG_W = {
  tilt: (settings, x, sigma) => Math.log(weight(settings, x, sigma)),
  // grad log w = grad log r (1 - pi) / (pi r + 1 - pi), and (1 - pi) / (pi r + 1 - pi) = 1 - pi w.
  slope: (settings, x, sigma) => 1 - settings.pi * weight(settings, x, sigma),
};
const MINUS_D = {
  tilt: (settings, x, sigma) => 1 / 2 - discriminator(settings, x, sigma),
  // -grad d = -d (1 - d) grad log r: the authors' released code, written for pi = 1/2.
  slope: (settings, x, sigma, d = discriminator(settings, x, sigma)) => -d * (1 - d),
};
const BATCH = "∇ log p<sub>batch</sub>";
const DATA = `${BATCH} + ∇ log w = ∇ log p<sub>data</sub>`;
export const METHODS = {
  dsm_obs: { label: "DSM(obs)", ...NONE, formula: BATCH, adds: "no correction" },
  w_only: { label: "W-only", ...NONE, formula: `${BATCH}: a weight moves no minimiser`, adds: "no correction" },
  c_only: { label: "C-only", ...LOG_W, formula: DATA, adds: "∇ log w" },
  tiw_dsm: { label: "TIW-DSM", ...LOG_W, formula: DATA, adds: "∇ log w" },
  released: { label: "released formula", ...MINUS_D, formula: `${BATCH} − ∇d, d = r / (1 + r)`, adds: "−∇d" },
};

// What the method's target adds to the score: 0, grad log w or -grad d.
export function correction(method, settings, x, sigma) {
  const slope = METHODS[method].slope(settings, x, sigma);
  return slope ? gradLogRatio(settings, x, sigma).map((g) => slope * g) : [0, 0];
}

// The field that the method's minimiser has: grad log p_batch^sigma + correction.
export function field(method, settings, x, sigma) {
  const extra = correction(method, settings, x, sigma);
  return score(batchShare(settings), x, sigma).map((batch, i) => batch + extra[i]);
}

// EDM's grid with rho = 7: from 160 sigma_data down to 0.004 sigma_data, then 0. Length steps + 1.
export function samplingGrid(steps) {
  const [high, low] = [160, 0.004].map((scale) => (scale * SIGMA_DATA) ** (1 / 7));
  return [...Array.from({ length: steps }, (_, i) => (high + (i / (steps - 1)) * (low - high)) ** 7), 0];
}

// n standard normal points from a seed: uniform numbers by mulberry32, then Box-Muller.
export function startingNoise(n, seed) {
  let state = seed >>> 0;
  const uniform = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  return Float64Array.from({ length: 2 * n }, normal);
}

// EDM's Heun: dx/dsigma = (x - D(x; sigma)) / sigma = -sigma field(x, sigma). Returns the points at every level.
export function heun(method, settings, noise, grid) {
  const slope = (x, sigma) => field(method, settings, x, sigma).map((f) => -sigma * f);
  const levels = [noise.map((z) => z * grid[0])];
  grid.slice(1).forEach((below, step) => {
    const [sigma, to] = [grid[step], levels[step].slice()];
    for (let i = 0; i < to.length; i += 2) {
      const x = [to[i], to[i + 1]];
      const d = slope(x, sigma);
      const euler = x.map((u, k) => u + (below - sigma) * d[k]);
      const e = below > 0 ? slope(euler, below) : d; // the last step, to sigma = 0, is Euler's
      to.set(x.map((u, k) => u + ((below - sigma) * (d[k] + e[k])) / 2), i);
    }
    levels.push(to);
  });
  return levels;
}

// The number of points nearer to the minority's mode: x1 + x2 > 0.
export const minorityCount = (points) => points.reduce((n, x, i) => n + (i % 2 && points[i - 1] + x > 0), 0);

// ---------------------------------------------------------------------------------------------- the figure

const [STEPS, PARTICLES] = [40, 2000];
const GRID = samplingGrid(STEPS);
const COLOURS = ["#0072b2a0", "#d55e00a0"]; // ends at the majority, at the minority: a colour-blind-safe pair
const [GREY, GREEN, PURPLE] = [[130, 130, 130], [90, 174, 97], [153, 112, 171]];
const DEFAULTS = { level: STEPS, minority: 0.2, pi: 0.5, left: "dsm_obs", right: "tiw_dsm", view: "score",
  particles: true, arrows: true, seed: 1 };
const methods = Object.entries(METHODS).map(([name, { label }]) => `<option value="${name}">${label}</option>`);
const slider = (name, label, max, step, min = 0) => `<label><span>${label}</span><b></b>
  <input type="range" name="${name}" min="${min}" max="${max}" step="${step}"></label>`;
const box = (name) => `<label class="box"><input type="checkbox" name="${name}">${name}</label>`;
const panel = (side) => `<div class="panel"><label>${side} method <select name="${side}">${methods.join("")}</select></label>
  <p class="small formula"></p><canvas role="img"></canvas><output></output>
  <p class="small">of 2,000 particles end at the minority</p><div class="bar"><i></i></div>
  <p class="small now"></p></div>`;
const TEMPLATE = `<p class="title">From the same noise, how many particles reach the minority’s mode?</p>
<div class="controls">${slider("level", "From noise to data", STEPS, 1)}
  ${slider("minority", "Minority in D<sub>bias</sub>", 0.5, 0.01, 0.05)}
  ${slider("pi", "π, reference share", 1, 0.05)}</div>
<div class="row"><button type="button" class="play">Play</button><button type="button" class="noise">New noise</button>
  <label class="box">Show <select name="view"><option value="score">score and density</option>
  <option value="correction">correction alone</option></select></label>${box("particles")}${box("arrows")}</div>
<p class="shares"></p><p class="note" role="status"></p><div class="panels">${panel("left")}${panel("right")}</div>
<p class="small"><i class="dot"></i> particle that ends at the majority’s mode, <i class="triangle"></i> at the minority’s
  mode. + modes, at (−2, −2) and (2, 2). <span class="key"></span> The line on the bar is p<sub>data</sub>’s 50 %.</p>`;
const ONLY_HALF = "The released code knows π = 1/2 only. Here its correction stays −∇d, in batches of π =";
const SCORE_KEY = "Arrows: the field. Grey: the density it belongs to, darkest at its maximum.";
const tiltKey = (tilt) => `Arrows: the correction. Colour: its potential, from −${tilt} (green) to ${tilt} (purple).`;
const percent = (share) => `${(100 * share).toFixed(1)} %`;
const short = (value) => Number(value.toPrecision(value < 99.5 ? 2 : 3)).toString();
const blend = (to, t) => to.map((c) => 255 + t * (c - 255)); // white at t = 0, the colour `to` at t = 1
const most = (values) => values.reduce((a, b) => Math.max(a, b), -Infinity);

// n x n points of the window [-extent, extent]^2: the centres of its cells, rows from the top.
const cells = (n, extent) => Array.from({ length: n * n }, (_, i) =>
  [(2 * (i % n) + 1) / n - 1, 1 - (2 * Math.floor(i / n) + 1) / n].map((u) => u * extent));

// What a panel shows: a value for each of 64 x 64 cells, and an arrow for each of 11 x 11 points.
function contents(method, { view, ...settings }, sigma, extent) {
  const tilts = cells(64, extent).map((x) => METHODS[method].tilt(settings, x, sigma));
  const logs = cells(64, extent).map((x, i) => logProb(batchShare(settings), x, sigma) + tilts[i]);
  const [highest, vector] = [most(logs), view === "score" ? field : correction];
  const arrows = cells(11, extent).map((x) => [x, vector(method, settings, x, sigma)]);
  const values = view === "score" ? logs.map((value) => Math.exp(value - highest)) : tilts;
  const [largest, longest] = [most(tilts.map(Math.abs)), most(arrows.map(([, v]) => Math.hypot(...v)))];
  return { method, values, arrows, largest, longest };
}

// Draws a panel: shades, particles, arrows, modes, ticks. The largest tilt gets the full colour,
// and the longest arrow spans one cell of its grid; both panels share one scale.
function draw(canvas, { values, arrows }, { extent, largest, longest, points, ends, ...state }) {
  const [side, dots, left] = [canvas.clientWidth, window.devicePixelRatio || 1, 32];
  const [context, plot, unit] = [canvas.getContext("2d"), side - left - 2, (side - left - 2) / (2 * extent)];
  const at = ([x1, x2]) => [left + unit * (x1 + extent), 1 + unit * (extent - x2)];
  canvas.width = canvas.height = Math.round(side * dots);
  context.scale(dots, dots);
  const shades = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  const image = new ImageData(64, 64);
  values.forEach((value, i) => {
    const colour = state.view === "score" ? GREY : value < 0 ? GREEN : PURPLE;
    image.data.set([...blend(colour, state.view === "score" ? value : Math.abs(value) / largest), 255], 4 * i);
  });
  shades.getContext("2d").putImageData(image, 0, 0);
  context.save();
  context.rect(left, 1, plot, plot);
  context.clip();
  context.drawImage(shades, left, 1, plot, plot);
  for (let i = 0; state.particles && i < points.length; i += 2) {
    const [[h, v], minority, size] = [at([points[i], points[i + 1]]), ends[i] + ends[i + 1] > 0, side > 300 ? 2 : 1.4];
    context.fillStyle = COLOURS[Number(minority)];
    context.beginPath();
    if (minority) [[0, -1.6], [1.5, 1.1], [-1.5, 1.1]].forEach(([a, b]) => context.lineTo(h + a * size, v + b * size));
    else context.arc(h, v, size, 0, 7);
    context.fill();
  }
  const path = new Path2D();
  for (const [x, vector] of state.arrows ? arrows : []) {
    const [[h, v], reach] = [at(x), plot / 22 / longest]; // to half an arrow
    const [a, b] = [vector[0] * reach, -vector[1] * reach];
    path.addPath(new Path2D(`M${h - a} ${v - b}L${h + a} ${v + b}M${h + 0.4 * a - 0.35 * b} ${v + 0.4 * b + 0.35 * a}`
      + `L${h + a} ${v + b}L${h + 0.4 * a + 0.35 * b} ${v + 0.4 * b - 0.35 * a}`));
  }
  for (const [h, v] of MODES.map(at)) path.addPath(new Path2D(`M${h - 7} ${v}h14M${h} ${v - 7}v14`));
  for (const [strokeStyle, lineWidth] of [["#ffffffb0", 3.5], ["#000", 1.3]])
    Object.assign(context, { strokeStyle, lineWidth }).stroke(path); // black with a white rim
  context.restore();
  context.strokeRect(left, 1, plot, plot);
  Object.assign(context, { fillStyle: "#1a1a1a", font: "12px system-ui, sans-serif", textAlign: "center" });
  const power = 10 ** Math.floor(Math.log10(0.85 * extent));
  const tick = power * [5, 2, 1].find((digit) => digit * power <= 0.85 * extent);
  const ticks = [[-tick, `−${tick}`], [0, "0"], [tick, `${tick}`]];
  for (const [value, text] of [...ticks, [tick / 2, "x₁"]]) context.fillText(text, at([value, 0])[0], side - left + 15);
  for (const [value, text] of [...ticks, [tick / 2, "x₂"]]) context.fillText(text, left / 2 - 1, at([0, value])[1] + 4);
}

// Mounts the figure in `el`, in anywidget's shape. A page without a kernel has no model.
export function render({ model, el }) {
  const names = Object.keys(DEFAULTS);
  const state = Object.fromEntries(names.map((name) => [name, model?.get(name) ?? DEFAULTS[name]]));
  el.innerHTML = `<div class="tiw2d" role="group" aria-label="Interactive 2-D example">${TEMPLATE}</div>`;
  const [root, find] = [el.firstChild, (selector) => el.querySelector(selector)];
  const flows = {}; // the particles of a method at every level, until a setting changes
  let [drawing, playing] = [0, 0]; // requests of an animation frame
  function flow(method) {
    const key = [state.minority, state.pi, state.seed].join();
    if (flows[method]?.key === key) return flows[method].levels;
    flows[method] = { key, levels: heun(method, state, startingNoise(PARTICLES, state.seed), GRID) };
    return flows[method].levels;
  }
  function show() {
    drawing = 0;
    const step = Math.min(Math.floor(state.level), STEPS - 1); // between two levels all moves on straight lines
    const along = (from, to) => from + (state.level - step) * (to - from);
    const sigma = along(GRID[step], GRID[step + 1]);
    const extent = 2.7 * Math.hypot(SIGMA_DATA, sigma); // the window: 2.7 standard deviations of p_data^sigma
    const sides = [state.left, state.right].map((method) => contents(method, state, sigma, extent));
    const [largest, longest] = ["largest", "longest"].map((key) => most(sides.map((side) => side[key])) || 1);
    const put = (node, html) => node.innerHTML === html || (node.innerHTML = html); // what stays is announced once
    sides.forEach((side, i) => {
      const [levels, { label, formula, adds }] = [flow(side.method), METHODS[side.method]];
      const [ends, points] = [levels[STEPS], levels[step].map((x, k) => along(x, levels[step + 1][k]))];
      const [final, now] = [ends, points].map((xs) => percent(minorityCount(xs) / PARTICLES));
      const inside = (selector) => root.querySelectorAll(`.panel ${selector}`)[i];
      draw(inside("canvas"), side, { ...state, extent, largest, longest, ends, points });
      inside("canvas").ariaLabel = `${label} at sigma ${short(sigma)}: ${final} of the particles end at the minority.`;
      put(inside(".formula"), state.view === "score" ? formula : adds);
      put(inside("output"), final);
      inside(".bar i").style.width = final.replace(" ", "");
      put(inside(".now"), `now, at σ = ${short(sigma)}: ${now} on its side`);
    });
    const texts = { level: `σ = ${short(sigma)}`, minority: percent(state.minority), pi: state.pi.toFixed(2) };
    for (const input of root.querySelectorAll("[name]")) {
      Object.assign(input, input.type === "checkbox" ? { checked: state[input.name] } : { value: state[input.name] });
      if (texts[input.name]) input.ariaValueText = input.previousElementSibling.textContent = texts[input.name];
    }
    const half = state.pi === 0.5 || ![state.left, state.right].includes("released");
    put(find(".note"), half ? "" : `${ONLY_HALF} ${texts.pi}.`);
    put(find(".shares"), `Minority: <b>${texts.minority}</b> of D<sub>bias</sub>, <b>${percent(batchShare(state))}</b>`
      + ` of a batch, <b>50.0 %</b> of p<sub>data</sub>.`);
    put(find(".key"), state.view === "score" ? SCORE_KEY : tiltKey(short(largest)));
    put(find(".play"), playing ? "Pause" : "Play");
  }
  const redraw = () => (drawing ||= requestAnimationFrame(show));
  const stop = () => (playing = cancelAnimationFrame(playing) ?? 0);
  function set(changes) {
    Object.assign(state, changes);
    for (const name in changes) model?.set(name, state[name]);
    model?.save_changes();
    redraw();
  }
  function play() {
    const [start, first] = [performance.now(), state.level < STEPS ? state.level : 0];
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return set({ level: state.level < STEPS ? STEPS : 0 });
    playing = requestAnimationFrame(function advance(now) {
      const level = Math.min(STEPS, first + Math.max(0, now - start) / 150); // 150 ms a level
      playing = level < STEPS ? requestAnimationFrame(advance) : 0;
      set({ level });
    });
  }
  root.addEventListener("input", ({ target: { name, type, value, checked } }) => {
    if (name === "level") stop();
    set({ [name]: type === "range" ? Number(value) : type === "checkbox" ? checked : value });
  });
  find(".play").addEventListener("click", () => (playing ? redraw(stop()) : play()));
  find(".noise").addEventListener("click", () => set({ seed: state.seed + 1 }));
  for (const name of names) model?.on(`change:${name}`, () => redraw((state[name] = model.get(name))));
  const observer = new ResizeObserver(redraw); // it asks for the first drawing, too
  observer.observe(root);
  return () => [stop(), cancelAnimationFrame(drawing), observer.disconnect()];
}

export default { render };
