/** A part with a beginning and an end. Constructors only set fields. */
export interface Startable {
  /** Resolves when the part is ready to be used. A failure leaves nothing running. */
  start(): Promise<void>;
  /** Resolves when everything the part began has ended. Idempotent. */
  stop(): Promise<void>;
}

/** Starts parts in order; on failure stops those that were started, in reverse, and rethrows. */
export async function startAll(parts: readonly Startable[]): Promise<void> {
  const started: Startable[] = [];
  try {
    for (const part of parts) {
      started.push(part);
      await part.start();
    }
  } catch (error) {
    await stopAll(started);
    throw error;
  }
}

/** Stops parts in reverse order; every part is stopped, the first failure is rethrown. */
export async function stopAll(parts: readonly Startable[]): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts.toReversed()) {
    await part.stop().catch((error: unknown) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
}
