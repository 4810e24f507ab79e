/** Asks for the flows of the port that is looked into: one question at a time, and never by itself. */
import { messageOf } from '../../../msg/errors.js';
import type { ApiClient } from '../../api/client.js';
import { FlowRates, type FlowTable } from './flow-rows.js';

export class LookInto {
  readonly #client: Pick<ApiClient, 'flows'>;
  readonly #onChange: () => void;
  #port: number | undefined;
  #rates = new FlowRates();
  #isAsking = false;
  /** Of the port that was asked about last; undefined before its answer. */
  table: FlowTable | undefined;
  /** Why there was no answer the last time. */
  problem: string | undefined;

  constructor(client: Pick<ApiClient, 'flows'>, onChange: () => void) {
    this.#client = client;
    this.#onChange = onChange;
  }

  /** Undefined for no port. */
  async ask(port: number | undefined): Promise<void> {
    if (port !== this.#port) {
      this.#port = port;
      this.#rates = new FlowRates();
      this.table = undefined;
      this.problem = undefined;
    } else if (this.#isAsking) {
      return;
    }
    if (port === undefined) return;
    const rates = this.#rates;
    this.#isAsking = true;
    let answer: FlowTable | undefined;
    let problem: string | undefined;
    try {
      answer = rates.next(await this.#client.flows(port));
    } catch (error) {
      problem = messageOf(error);
    }
    // An answer about a port that was left meanwhile.
    if (rates !== this.#rates) return;
    this.#isAsking = false;
    this.table = answer ?? this.table;
    this.problem = problem;
    this.#onChange();
  }
}
