import type { ApiClient } from './client.ts';

/** What a command works with; tests pass one that records. */
export interface Context {
  client: ApiClient;
  /** Standard output, a line at a time. */
  print(line: string): void;
  /** Standard error, a line at a time. */
  warn(line: string): void;
  /** Standard output as it is, for redrawing progress. */
  write(text: string): void;
  /** Standard output is a terminal. */
  interactive: boolean;
  /** Reads a secret line from standard input, after a prompt when that is a terminal. */
  readSecret(prompt: string): Promise<string>;
}
