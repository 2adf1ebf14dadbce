/** One report of `ffmpeg -progress`. */
export interface FfmpegProgress {
  /** Bytes written to the output so far; 0 before the output is open. */
  readonly totalSize: number;
  readonly frame: number;
}

/** Reads `key=value` lines from ffmpeg's `-progress` pipe; each report ends with a `progress=` line. */
export class FfmpegProgressReader {
  #rest = '';
  #totalSize = 0;
  #frame = 0;

  /** Returns the last complete report, if there is a new one. */
  push(chunk: Buffer): FfmpegProgress | undefined {
    const lines = (this.#rest + chunk.toString('latin1')).split('\n');
    this.#rest = lines.pop() ?? '';
    let report: FfmpegProgress | undefined;
    for (const line of lines) {
      const equals = line.indexOf('=');
      const value = Number(line.slice(equals + 1));
      const key = line.slice(0, equals);
      if (key === 'total_size' && Number.isFinite(value)) this.#totalSize = value;
      else if (key === 'frame' && Number.isFinite(value)) this.#frame = value;
      else if (key === 'progress') report = { totalSize: this.#totalSize, frame: this.#frame };
    }
    return report;
  }
}
