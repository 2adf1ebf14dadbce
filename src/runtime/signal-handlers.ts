const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Runs `create` and removes the signal handlers that it has added. mediasoup closes its workers on SIGTERM, which
 * would end the streams of a gateway that drains. The owner of the process decides what a signal means.
 *
 * @param create adds its handlers before it returns
 */
export function withoutSignalHandlers<Result>(create: () => Result): Result {
  const before = SIGNALS.map((signal) => new Set(process.rawListeners(signal)));
  try {
    return create();
  } finally {
    SIGNALS.forEach((signal, index) => {
      for (const listener of process.rawListeners(signal))
        if (!before[index]!.has(listener)) process.removeListener(signal, listener as NodeJS.SignalsListener);
    });
  }
}
