/** Test signals that are hard to encode, each for another reason, as ffmpeg sources. One channel, 48 kHz. */

/** A tone with overtones and slight vibrato. */
const tone = (hertz: number, overtones: number): string =>
  Array.from(
    { length: overtones },
    (_, index) => `sin(${index + 1}*(${2 * hertz}*PI*t+0.3*sin(11*PI*t)))/${index + 1}`,
  ).join('+');

const source = (expression: string): string => `aevalsrc='${expression}':s=48000`;

/** Text for ffmpeg's `flite`, which not every ffmpeg has. */
export const SPEECH = `flite=voice=slt:text='Good evening everybody. Tonight we speak about the sea, its fishes and shells, and the six strange ships that passed this coast.',aresample=48000,aloop=-1:500000`;

export const SOUNDS: Readonly<Record<string, string>> = {
  /** Nothing is masked and everything must be encoded. */
  noise: 'anoisesrc=color=pink:amplitude=0.5:seed=1:r=48000',
  /** Pre-echo is audible. */
  castanets: source('0.6*exp(-150*mod(t,0.29))*(sin(5000*PI*t)+0.6*sin(7800*PI*t))'),
  plucked: source(`0.25*exp(-6*mod(t,0.37))*(${tone(330, 12)})`),
  strings: source(`0.12*(${tone(196, 24)}+${tone(294, 18)})`),
  /** A single spectral line, which masks no noise. */
  sweep: source('0.5*sin(2*PI*30*12/log(600)*(exp(mod(t,12)/12*log(600))-1))'),
};
