import type { ClientReadableStream } from '@grpc/grpc-js';
import type { waggle } from '../../proto/gen/diagnosis.js';
import { type Question, questionSchema } from '../../proto/objects/diagnosis/question.ts';
import { MAX_MESSAGE_BYTES } from '../../proto/rpc/credentials.ts';
import { packJson } from '../../proto/rpc/json-gzip.ts';
import type { ManagerConnection } from '../../proto/rpc/manager-connection.ts';
import { fromServiceError } from '../../proto/rpc/status.ts';
import { callUnary } from '../../proto/rpc/unary.ts';
import { backoffDelayMs, type BackoffOptions } from '../../proto/runtime/backoff.ts';
import { type Clock, sleep } from '../../proto/runtime/clock.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import type { Log } from '../../proto/runtime/log.ts';

const RPC_TIMEOUT_MS = 5_000;
/** The rest of a message beside the answer. */
const MAX_ANSWER_BYTES = MAX_MESSAGE_BYTES - 64 * 1024;
const MAX_ERROR_CHARACTERS = 400;
const MAX_UNDER_WAY = 8;
const BUSY = 'the node is answering other questions';
const REOPEN: BackoffOptions = { minMs: 500, maxMs: 30_000, factor: 2, jitter: 0 };

/** Answers what the leader asks; must bound its own time. */
export type AnswerQuestion = (question: Question) => Promise<unknown>;

export interface QuestionStreamModules {
  connection: Pick<ManagerConnection, 'diagnosis'>;
  answer: AnswerQuestion;
  clock: Clock;
  log: Log;
}

/**
 * The node's side of the leader's questions, beside one session. A stream that fails is opened again, and never ends the
 * session: a node that cannot be asked still runs its tasks. At most 8 questions are under way, further ones are refused.
 */
export class QuestionStream {
  readonly #modules: QuestionStreamModules;
  #underWay = 0;

  constructor(modules: QuestionStreamModules) {
    this.#modules = modules;
  }

  /** Resolves when the signal has aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#modules;
    for (let failures = 0; !signal.aborted; ) {
      const began = clock.monotonic();
      try {
        await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        failures = clock.monotonic() - began > REOPEN.maxMs ? 1 : failures + 1;
        log.debug({ error: messageOf(error) }, 'questions of the leader are not heard');
      }
      await sleep(clock, backoffDelayMs(REOPEN, failures, 0), signal).catch(() => undefined);
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const stream: ClientReadableStream<waggle.diagnosis.Question> = this.#modules.connection.diagnosis.questions({});
    const cancel = (): void => stream.cancel();
    stream.on('error', () => undefined);
    if (signal.aborted) cancel();
    signal.addEventListener('abort', cancel, { once: true });
    try {
      for await (const message of stream) void this.#take(message as waggle.diagnosis.Question, signal);
    } catch (error) {
      throw fromServiceError(error);
    } finally {
      signal.removeEventListener('abort', cancel);
      cancel();
    }
  }

  /** Never rejects. */
  async #take({ id, questionJson }: waggle.diagnosis.Question, signal: AbortSignal): Promise<void> {
    const { connection, clock, log } = this.#modules;
    const { diagnosis } = connection;
    this.#underWay++;
    try {
      const request = { id, ...(await this.#answerTo(questionJson)) };
      await callUnary(diagnosis, diagnosis.answer, request, { clock, timeoutMs: RPC_TIMEOUT_MS, signal });
    } catch (error) {
      log.debug({ error: messageOf(error) }, 'a question of the leader was not answered');
    } finally {
      this.#underWay--;
    }
  }

  async #answerTo(questionJson: Uint8Array): Promise<{ answerGzip: Uint8Array; error: string }> {
    try {
      if (this.#underWay > MAX_UNDER_WAY) return { answerGzip: new Uint8Array(), error: BUSY };
      const question = questionSchema.parse(JSON.parse(Buffer.from(questionJson).toString('utf8')));
      return { answerGzip: await packJson(await this.#modules.answer(question), MAX_ANSWER_BYTES), error: '' };
    } catch (error) {
      return { answerGzip: new Uint8Array(), error: messageOf(error).slice(0, MAX_ERROR_CHARACTERS) || 'failed' };
    }
  }
}
