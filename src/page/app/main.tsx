/** Starts the page in the browser. */
import { render } from "preact";
import { Frame } from "./frame.tsx";

render(<Frame />, document.querySelector("#app")!);
